"""The instant run-off, against counts that others have published, and by its stated rules."""

import itertools
import random

import pytest

from polls.counting.instant_runoff import TIE_RULE, instant_runoff
from polls.counting.tally import tally_of
from polls.models import Choice
from polls.voting.cast import cast

MEMPHIS, NASHVILLE, CHATTANOOGA, KNOXVILLE = range(4)
# electowiki.org, "Effects of different voting systems under similar circumstances": of 100 voters, each city's want
# the capital as near as possible.
TENNESSEE = {
    (MEMPHIS, NASHVILLE, CHATTANOOGA, KNOXVILLE): 42,
    (NASHVILLE, CHATTANOOGA, KNOXVILLE, MEMPHIS): 26,
    (CHATTANOOGA, KNOXVILLE, NASHVILLE, MEMPHIS): 15,
    (KNOXVILLE, CHATTANOOGA, NASHVILLE, MEMPHIS): 17,
}
KISS, MONTROLL, WRIGHT = range(3)
# Burlington, Vermont, mayor, 3 March 2009: the rankings of the last three. Their pairwise counts are those of
# electowiki.org, "2009 Burlington mayoral election": 4314 to 4064, 4067 to 3477 and 4597 to 3668.
BURLINGTON = {
    (MONTROLL, KISS, WRIGHT): 1332,
    (MONTROLL, WRIGHT, KISS): 767,
    (MONTROLL,): 455,
    (KISS, MONTROLL, WRIGHT): 2043,
    (KISS, WRIGHT, MONTROLL): 371,
    (KISS,): 568,
    (WRIGHT, MONTROLL, KISS): 1513,
    (WRIGHT, KISS, MONTROLL): 495,
    (WRIGHT,): 1289,
}


def told(rounds):
    return [(list(r["votes"].items()), r["exhausted"], r["eliminated"]) for r in rounds]


def test_it_works():
    """Tennessee: Chattanooga goes out, then Nashville, whose ballots move past it to Knoxville."""
    rounds, elected = instant_runoff(TENNESSEE.items(), range(4))
    assert told(rounds) == [
        ([(0, 42), (1, 26), (2, 15), (3, 17)], 0, CHATTANOOGA),
        ([(0, 42), (1, 26), (3, 32)], 0, NASHVILLE),
        ([(0, 42), (3, 58)], 0, None),
    ]
    assert elected == KNOXVILLE


def pairwise(rankings, one, other):
    def prefer(ranking):
        return one in ranking and (
            other not in ranking or ranking.index(one) < ranking.index(other)
        )

    return sum(ballots for ranking, ballots in rankings.items() if prefer(ranking))


def test_burlington_2009_is_won_by_kiss():
    """Though Montroll would have beaten each of the others alone: it is the run-off, and no other count."""
    assert pairwise(BURLINGTON, MONTROLL, KISS) == 4067
    assert pairwise(BURLINGTON, KISS, MONTROLL) == 3477
    assert pairwise(BURLINGTON, MONTROLL, WRIGHT) == 4597
    assert pairwise(BURLINGTON, WRIGHT, MONTROLL) == 3668
    rounds, elected = instant_runoff(BURLINGTON.items(), range(3))
    assert told(rounds) == [
        ([(KISS, 2982), (MONTROLL, 2554), (WRIGHT, 3297)], 0, MONTROLL),
        ([(KISS, 4314), (WRIGHT, 4064)], 455, None),
    ]
    assert elected == KISS


def test_the_page_and_every_file_show_these_rounds(client, ask):
    question = ask(
        "Capital?", "Memphis", "Nashville", "Chattanooga", "Knoxville", kind="ranked"
    )
    ids = list(question.choice_set.order_by("id").values_list("pk", flat=True))
    for n, (ranking, ballots) in enumerate(TENNESSEE.items()):
        for m in range(ballots):
            cast(question, f"{n}-{m}", [ids[city] for city in ranking])
    tally = client.get(f"/polls/{question.pk}/results.json").json()
    assert [r["votes"] for r in tally["rounds"]] == [
        [42, 26, 15, 17],
        [42, 26, None, 32],
        [42, None, None, 58],
    ]
    assert tally["elected"] == ids[KNOXVILLE]
    csv = client.get(f"/polls/{question.pk}/results.csv").text.splitlines()
    outcome = '"Knoxville would be elected now, with 58 of 100 ballots in round 3."'
    assert csv[4].endswith(f"Knoxville,17,17.0,17,32,58,{outcome}")
    assert csv[3].endswith(f"Chattanooga,15,15.0,15,,,{outcome}")
    page = client.get(f"/polls/{question.pk}/results/").text
    assert page.count("Ahead</strong>") == 1 and str(TIE_RULE) in page
    question.close()
    page = client.get(f"/polls/{question.pk}/results/").text
    assert page.count("Elected</strong>") == 1
    assert "Elected: Knoxville, with 58 of" in page


@pytest.mark.parametrize("half", [1, 50])
def test_half_of_the_ballots_is_no_majority(half):
    rankings = [((0,), half), ((1, 2), half - 1), ((2, 1), 1)]
    rounds, elected = instant_runoff(rankings, range(3))
    assert len(rounds) > 1 and rounds[0]["eliminated"] is not None
    assert elected == 0


def test_a_majority_is_of_the_ballots_still_in_play():
    """4 of 9 is no majority; 4 of 7 is, when the ballots of the choice that went out name no other."""
    rounds, elected = instant_runoff([((0,), 4), ((1,), 3), ((2,), 2)], range(3))
    assert told(rounds)[1] == ([(0, 4), (1, 3)], 2, None)
    assert elected == 0


def test_it_handles_no_ballots():
    rounds, elected = instant_runoff([], [7, 8])
    assert told(rounds) == [([(7, 0), (8, 0)], 0, None)]
    assert rounds[0]["tied"] == []
    assert elected is None


def test_it_handles_one_choice_and_none():
    assert instant_runoff([((7,), 3)], [7]).elected == 7
    assert instant_runoff([], [7]).elected is None
    assert instant_runoff([], []).elected is None


def test_of_the_tied_goes_out_who_had_fewer_in_the_round_before():
    """In round 2, Red and Blue have 4 each; in round 1 Blue had 3. The page would let Red go."""
    rankings = {(2,): 5, (0,): 4, (1,): 3, (3, 1): 1}
    rounds, _ = instant_runoff(rankings.items(), [1, 2, 3, 0])
    assert [r["eliminated"] for r in rounds[:2]] == [3, 1]
    assert [r["tied"] for r in rounds] == [[], [1, 0], []]


def test_and_so_on_back_to_the_first_round():
    """Red and Blue are tied in rounds 3 and 2, and differ in round 1."""
    rankings = {(2,): 9, (0,): 6, (1,): 5, (3, 1): 1, (4, 0): 1, (4, 1): 1}
    rounds, _ = instant_runoff(rankings.items(), [1, 2, 3, 4, 0])
    assert [r["votes"].get(0) for r in rounds[:3]] == [6, 6, 7]
    assert [r["votes"].get(1) for r in rounds[:3]] == [5, 6, 7]
    assert [r["eliminated"] for r in rounds[:3]] == [3, 4, 1]


def test_of_those_equal_in_every_round_the_lowest_on_the_page_goes_out():
    for order in itertools.permutations([0, 1, 2]):
        rounds, elected = instant_runoff([((0,), 1), ((1,), 1), ((2,), 1)], order)
        assert rounds[0]["eliminated"] == order[2]
        assert [r["tied"] for r in rounds] == [list(order), list(order[:2]), []]
        assert (rounds[1]["eliminated"], elected) == (order[1], order[0])


def test_the_rule_is_said_in_words():
    assert "fewer votes in the round before" in TIE_RULE
    assert "lowest on the ballot page" in TIE_RULE


def random_rankings(chance, choices, kinds):
    rankings = {}
    for _ in range(kinds):
        ranking = chance.sample(choices, chance.randint(1, len(choices)))
        rankings[tuple(ranking)] = chance.randint(1, 6)
    return rankings


def test_every_ballot_is_in_every_round_and_the_elected_has_a_majority():
    for seed in range(300):
        chance = random.Random(seed)
        choices = list(range(chance.randint(1, 7)))
        rankings = random_rankings(chance, choices, chance.randint(1, 12))
        rounds, elected = instant_runoff(rankings.items(), choices)
        for one in rounds:
            counted = sum(one["votes"].values()) + one["exhausted"]
            assert counted == sum(rankings.values()), seed
        last = rounds[-1]["votes"]
        assert 2 * last[elected] > sum(last.values()), seed
        for one, after in itertools.pairwise(rounds):
            votes, out = one["votes"], one["eliminated"]
            assert votes[out] == min(votes.values()), seed
            last = [choice for choice in votes if votes[choice] == votes[out]]
            assert one["tied"] == (last if len(last) > 1 else []), seed
            assert 2 * max(votes.values()) <= sum(votes.values()), seed
            assert list(after["votes"]) == [c for c in votes if c != out], seed


def by_hand(rankings, order):
    """Count ballot by ballot, with lists, the slow way of a person at a table; return the piles of each round too."""
    ballots = [list(r) for r, n in rankings.items() for _ in range(n)]
    standing, history = list(order), []
    while True:
        piles = dict.fromkeys(standing, 0)
        for ballot in ballots:
            left = [choice for choice in ballot if choice in standing]
            if left:
                piles[left[0]] += 1
        history.append(piles)
        best = max(piles.values())
        if 2 * best > sum(piles.values()):
            return history, next(c for c in standing if piles[c] == best)
        fate = lambda c: ([p[c] for p in reversed(history)], -order.index(c))
        standing.remove(min(standing, key=fate))


def test_it_counts_what_a_count_by_hand_counts():
    for seed in range(300):
        chance = random.Random(seed)
        choices = list(range(5))
        chance.shuffle(choices)
        rankings = random_rankings(chance, choices, 8)
        rounds, elected = instant_runoff(rankings.items(), choices)
        counted = [one["votes"] for one in rounds], elected
        assert counted == by_hand(rankings, choices), seed


class LookedUp(int):
    """A choice that notes how often it is looked up, to find what is still in."""

    times = 0

    def __hash__(self) -> int:
        LookedUp.times += 1
        return int(self)


def test_it_takes_the_time_of_the_marks_and_not_of_the_rounds():
    """With 50 choices and all rankings different: 40,000 of them took seconds."""
    chance, choices = random.Random(1), [LookedUp(n) for n in range(50)]
    rankings = {tuple(chance.sample(choices, 50)): 1 for _ in range(500)}
    LookedUp.times = 0
    rounds, _ = instant_runoff(rankings.items(), choices)
    assert len(rounds) > 30
    assert LookedUp.times < 3 * 500 * 50


def test_a_deleted_choice_takes_nothing_along(ask):
    """A choice that nobody ranked can still be removed, and the rounds are the same."""
    question = ask("Which colour?", "Red", "Blue", "Green", kind="ranked")
    red, blue, green = question.choice_set.order_by("id")
    cast(question, "a" * 32, [red.pk, blue.pk])
    Choice.objects.get(pk=green.pk).delete()
    assert tally_of(question)["elected"] == red.pk


def test_it_is_counted_again_only_after_a_vote(ask, keeping, django_assert_num_queries):
    question = ask("In which order?", "Tea", "Coffee", kind="ranked")
    tea, coffee = question.choice_texts
    cast(question, "a" * 32, [tea, coffee])
    assert tally_of(question)["elected"] == tea
    with django_assert_num_queries(1):
        tally_of(question)
    cast(question, "a" * 32, [coffee])
    assert tally_of(question)["elected"] == coffee
