"""Judge what `balancer` makes: imbalance figures, screening, contact sheets."""
