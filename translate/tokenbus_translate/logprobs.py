"""Log probabilities: both APIs have the same four fields; only `bytes` and `top_logprobs` may be missing or null.

OpenAI's `ResponseOutputText.Logprob` (openai 3.54) demands both, so they are filled: the bytes of a token are its
UTF-8 text, which is what OpenAI sends for every token that is whole characters.
"""

from tokenbus_translate.json_value import JsonObject, as_list, as_objects, as_text


def normal_logprobs(entries: object) -> list[JsonObject]:
    """The entries with every key the Responses types demand; those without a token or number are left out."""
    return [
        {
            **entry,
            **whole,
            "top_logprobs": [
                {**top, **found} for top in as_objects(entry.get("top_logprobs")) if (found := _token(top))
            ],
        }
        for entry in as_objects(entries)
        if (whole := _token(entry))
    ]


def _token(entry: JsonObject) -> JsonObject | None:
    token, logprob = as_text(entry.get("token")), entry.get("logprob")
    if token is None or not isinstance(logprob, int | float):
        return None
    return {"token": token, "bytes": as_list(entry.get("bytes")) or list(token.encode()), "logprob": logprob}
