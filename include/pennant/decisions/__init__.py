"""From a forecast and prices to a stake, its settlement, and an honest word on whether there is an edge."""
