"""Lakes of the simulated year: known basins, levels that fall and rise, sediment and ice."""
