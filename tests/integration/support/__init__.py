"""The test bed: a throwaway cluster, the zoo of databases, a runner for the product, and independent comparisons."""
