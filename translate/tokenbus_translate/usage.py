"""Token usage: what providers call it, in the Responses shape, and summed over rounds.

A usage that was not sent stays None; of one that was sent, missing details are zero, because clients read them
unguarded (vscode-unify #277).
"""

from tokenbus_translate.json_value import JsonObject, as_index, as_object


def normal_usage(raw: object) -> JsonObject | None:
    """A provider's usage, of either API, in the Responses shape; None where it counted nothing.

    Sources: `ResponseUsage` and `CompletionUsage` of openai 3.54. DeepSeek names cached tokens prompt_cache_hit_tokens,
    Moonshot puts cached_tokens beside the totals (as public clients read them, 2026-11-22). xAI leaves reasoning out of
    completion_tokens, which its total shows (github.com/vercel/ai, packages/xai/src/__fixtures__, 2026-02): here it is
    part of the output, as everywhere else.
    """
    source = as_object(raw) or {}
    given, made = _count(source, "input_tokens", "prompt_tokens"), _count(source, "output_tokens", "completion_tokens")
    if given is None and made is None:
        return None
    total = _count(source, "total_tokens")
    cached = _count(source, "prompt_cache_hit_tokens", "cached_tokens") or 0
    made_of = _counts(source, "output_tokens_details", "completion_tokens_details")
    reasoned = made_of.get("reasoning_tokens", 0)
    if reasoned and total == (given or 0) + (made or 0) + reasoned:
        made = (made or 0) + reasoned
    return {
        "input_tokens": given or 0,
        "input_tokens_details": {
            "cached_tokens": cached,
            "cache_write_tokens": 0,
            **_counts(source, "input_tokens_details", "prompt_tokens_details"),
        },
        "output_tokens": made or 0,
        "output_tokens_details": {
            "reasoning_tokens": 0,
            **made_of,
        },
        "total_tokens": (given or 0) + (made or 0) if total is None else total,
    }


def add_usage(total: JsonObject | None, more: JsonObject | None) -> JsonObject | None:
    """The sum of two normal usages, number by number; None is nothing."""
    if total is None or more is None:
        return total or more
    summed: JsonObject = {}
    for name in dict.fromkeys((*total, *more)):
        left, right = total.get(name), more.get(name)
        details, more_details = as_object(left), as_object(right)
        if details is not None or more_details is not None:
            summed[name] = add_usage(details, more_details) or {}
        else:
            summed[name] = (as_index(left) or 0) + (as_index(right) or 0)
    return summed


def _count(source: JsonObject, *names: str) -> int | None:
    return next((count for name in names if (count := as_index(source.get(name))) is not None), None)


def _counts(source: JsonObject, *names: str) -> dict[str, int]:
    """All numbers of the first of these objects that is there; audio, image and prediction counts keep their names."""
    empty: JsonObject = {}
    details = next((found for name in names if (found := as_object(source.get(name)))), empty)
    return {name: count for name, value in details.items() if (count := as_index(value)) is not None}
