TIME_FORMAT = "H:i"
DATETIME_FORMAT = "j F Y, H:i"
# 12,34,567: thousands, then lakhs.
NUMBER_GROUPING = (3, 2, 0)
