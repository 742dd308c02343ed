"""From runs to trained models and their records."""
