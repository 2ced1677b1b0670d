"""What may be asked of a policy beside its scores: names that the graph and the tables share."""

# In this order: each a node of the group `diagnostics`.
DIAGNOSES = ("swap", "attribution")
ON_DEV = "dev"  # an untrained row's greedy answers to dev people's questions
