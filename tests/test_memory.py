from pipeline.memory import be_lean


def test_what_somebody_has_chosen_of_an_allocator_stays() -> None:
    chosen = {"MALLOC_ARENA_MAX": "8"}
    be_lean(chosen)
    assert chosen["MALLOC_ARENA_MAX"] == "8"
    assert "_RJEM_MALLOC_CONF" in chosen
