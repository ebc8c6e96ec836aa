"""The chain's form is for ever: a day of the log that somebody put away must be found whole by any later emw."""

from emw.store.chain import START, genesis, head_of, head_text, link


def test_P13_a_log_of_years_ago_has_the_hashes_it_had() -> None:
    day = genesis("2026-07-01", START)
    assert day.hex() == "ab92afed4266bfc1a6361aa717415a6ec79563a6610ba333fc7c254c73103c34"
    first = link(day, 1, "TerritoryDefined", b'{"territory_id":"East"}')
    assert first.hex() == "6624eb0cf49669a4cc2cb5baed7ef328dbc59e43b931238c5d29aed58285a459"
    second = link(first, 2, "Halted", b"{}")
    assert second.hex() == "44ebf295cc146c1efc19741993060c090a63cdea2c979ce14774998501b02946"
    assert (
        genesis("2026-07-02", second).hex()
        == "618a3ac192785f84207ddff13c2ef92caa3b917a1b0b7f0b7d951bb4b56a46dd"
    )
    assert head_of(head_text(2, "2026-07-01", second)) == (2, "2026-07-01", second)
    assert head_of(head_text(0, "", START)) == (0, "", START)
