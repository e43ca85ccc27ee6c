"""The feed wakes who listens, and says how far a person's news is."""

from hub.launch.feed import Feed, person_topic


def test_the_position_of_a_person_moves_with_their_news_alone():
    feed = Feed()
    before = feed.position("maja")
    feed.notify("0123456789abcdef", person_topic("tobi"))
    assert feed.position("maja") == before
    feed.notify("0123456789abcdef", person_topic("maja"))
    assert feed.position("maja") != before


def test_a_position_of_another_life_of_the_service_is_never_the_same():
    assert Feed().position("maja") != Feed().position("maja")


def test_who_listens_is_woken_and_nobody_else():
    feed = Feed()
    with feed.listen(person_topic("maja")) as maja, feed.listen(person_topic("tobi")) as tobi:
        feed.notify(person_topic("maja"))
        assert maja.is_set()
        assert not tobi.is_set()
