"""A whole cluster: real kubelets and containers, Gaoler by Helm, a James in pods, attackers outside."""
