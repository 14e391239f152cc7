"""The cheapest quantised file that loses no more than it may: schemes tried, layers given back, all of it logged."""
