from __future__ import annotations

import itertools

from airflow_provider_autoglm.corpus.crawl.frontier import Frontier, Visit


def test_an_address_is_handed_out_once_with_its_smallest_depth_whatever_came_first() -> None:
    found = [Visit(2, 0, 0, "b"), Visit(1, 1, 0, "b"), Visit(1, 0, 0, "a")]
    for order in itertools.permutations(found):
        frontier = Frontier(max_pages=10, max_depth=5)
        for visit in order:
            frontier.add(visit)
        assert {visit.url: visit.depth for visit in frontier.next_round()} == {"a": 1, "b": 1}
        frontier.add(Visit(0, 0, 0, "a"))
        assert frontier.next_round() == []


def test_a_crawl_cut_off_at_max_pages_takes_the_same_pages_in_any_order() -> None:
    visits = [Visit(1, 0, 0, f"http://host/{number}") for number in range(100)]
    taken = []
    for order in (visits, visits[::-1]):
        frontier = Frontier(max_pages=30, max_depth=5)
        for visit in order:
            frontier.add(visit)
        taken.append(frontier.next_round())
        frontier.add(Visit(1, 0, 0, "http://host/more"))
        assert frontier.next_round() == []
        assert frontier.attempted == 30
    assert taken[0] == taken[1] != visits[:30]


def test_an_address_below_max_depth_is_not_remembered() -> None:
    frontier = Frontier(max_pages=30, max_depth=1)
    frontier.add(Visit(2, 0, 0, "a"))
    assert frontier.next_round() == []
