"""Count a ballots.csv again, with nothing but Python: python3 recount.py poll-1-ballots.csv"""

import collections
import csv
import hashlib
import sys

if not sys.argv[1:]:
    sys.exit("Name a file: python3 recount.py poll-1-ballots.csv")
path, last, ballots = sys.argv[1], "", collections.Counter()
try:
    print("SHA-256:", hashlib.sha256(open(path, "rb").read()).hexdigest())
    rows = csv.reader(open(path, newline="", encoding="utf-8"))
    ranked = {"choice 1": False, "rank 1": True}[next(rows, [])[1]]
    for receipt, *choices in rows:
        if last >= receipt:
            sys.exit(f"{receipt} stands twice, or is out of order.")
        last = receipt
        ballots[tuple(filter(None, choices))] += 1
    left = sorted(set().union(*ballots), key=lambda choice: int(choice.split(".")[0]))
except (OSError, LookupError, ValueError, csv.Error):
    sys.exit(f"{path} is no ballots.csv. Name one as the results page gives it.")
total = sum(ballots.values())
print("Ballots:", total)

counted, rounds = 1 if ranked else None, []
while left:
    votes = dict.fromkeys(left, 0)
    for ballot, number in ballots.items():
        for choice in [choice for choice in ballot if choice in left][:counted]:
            votes[choice] += number
    rounds.append(votes)
    said = "; ".join(f"{choice}: {number}" for choice, number in votes.items())
    if not ranked:
        print("Votes:", said)
        break
    in_play, leader = sum(votes.values()), max(left, key=votes.get)
    print(f"Round {len(rounds)}: {said}; exhausted: {total - in_play}")
    if 2 * votes[leader] > in_play:
        print("Elected:", leader)
        break
    # Fewest votes, in this round, then back to the first; then who stands lowest on the ballot page.
    fewest = lambda c: ([votes[c] for votes in reversed(rounds)], -left.index(c))
    left.remove(min(left, key=fewest))
