"""Who may ask, for what: API keys, LiveKit tokens, and what each maps to."""
