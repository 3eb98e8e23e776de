import re


def read_squares(path: str, size: int) -> list[list[int]]:
    """Return the dark squares (1) of a QR code's SVG path, row by row, as a printer would find them."""
    grid = [[0] * size for _ in range(size)]
    for x, y, width in re.findall(r"M(\d+) (\d+)\.5h(\d+)", path):
        grid[int(y)][int(x) : int(x) + int(width)] = [1] * int(width)
    return grid
