"""How questions are answered: means over subjects, correlations, permutations, profiles, half points."""
