"""Measures: pure functions of counts and features, and ``torchmetrics.Metric`` classes that use them."""
