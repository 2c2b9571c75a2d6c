"""One example of every message, used in the AsyncAPI document and checked against the schemas."""

from typing import Any, Final

REQUEST_ID: Final = "q7Zk2mVx0sT9"
PAYLOAD: Final = f"sha256={'3b' * 32};size=1500000;pieces=3"

RESPONSE: Final[dict[str, Any]] = {
    "id": f"resp_{REQUEST_ID}",
    "object": "response",
    "created_at": 1795360000,
    "completed_at": 1795360001,
    "status": "completed",
    "incomplete_details": None,
    "model": "openai/gpt-4.1-mini",
    "previous_response_id": None,
    "instructions": None,
    "output": [
        {
            "id": f"msg_{REQUEST_ID}_0",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Hello!", "annotations": [], "logprobs": []}],
        }
    ],
    "error": None,
    "tools": [],
    "tool_choice": "auto",
    "truncation": "disabled",
    "parallel_tool_calls": True,
    "text": {"format": {"type": "text"}},
    "top_p": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "top_logprobs": 0,
    "temperature": 1.0,
    "reasoning": None,
    "usage": {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 12,
    },
    "max_output_tokens": None,
    "max_tool_calls": None,
    "store": False,
    "background": False,
    "service_tier": "default",
    "metadata": {},
    "safety_identifier": None,
    "prompt_cache_key": None,
    "tokenbus": {
        "request_id": REQUEST_ID,
        "provider": "openai",
        "model": "gpt-4.1-mini",
        "api": "responses",
        "attempt": 1,
    },
}

EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "ChatRequest": {
        "model": "openai/gpt-4.1-mini",
        "instructions": "Answer briefly.",
        "input": [{"role": "user", "content": "Say hello."}],
        "temperature": 0.7,
        "tokenbus": {"provider": "openai", "api": "auto"},
    },
    "WorkOrder": {
        "version": 1,
        "request_id": REQUEST_ID,
        "tenant": "default",
        "channel": "c4Fh81",
        "priority_class": "standard",
        "accepted_at": 1795360000.25,
        "deadline": 1795360600.25,
        "hop": 1,
        "attempt_base": 0,
        "model": "openai/gpt-4.1-mini",
        "request": {"input": [{"type": "message", "role": "user", "content": "Say hello."}]},
        "targets": [{"provider": "openai", "model": "gpt-4.1-mini", "api": "responses", "pool": "openai"}],
        "recovery": "fail",
    },
    "ProviderTable": {
        "providers": [
            {
                "name": "openai",
                "base_url": "https://api.openai.com/v1",
                "base_url_env": "OPENAI_BASE_URL",
                "api_key_env": "OPENAI_API_KEY",
                "pool": "openai",
                "apis": ["responses", "chat_completions"],
            }
        ]
    },
    "Event": {
        "type": "response.output_text.delta",
        "sequence_number": 4,
        "item_id": f"msg_{REQUEST_ID}_0",
        "output_index": 0,
        "content_index": 0,
        "delta": "Hello",
        "logprobs": [],
    },
    "TerminalEvent": {"type": "response.completed", "sequence_number": 9, "response": RESPONSE},
    "Response": RESPONSE,
    "ReplayRequest": {"after": 3, "limit": 500},
    "ReplayPage": {
        "state": "streaming",
        "more": False,
        "events": [
            {
                "type": "response.output_text.delta",
                "sequence_number": 4,
                "item_id": f"msg_{REQUEST_ID}_0",
                "output_index": 0,
                "content_index": 0,
                "delta": "Hello",
                "logprobs": [],
            }
        ],
        "error": None,
    },
    "PayloadReply": {"error": None},
    "ControlRequest": {"action": "cancel"},
    "ControlReply": {"status": "cancelling", "error": None},
    "ResponseCall": {"action": "input_items", "limit": 2, "order": "asc"},
    "ResponseReply": {
        "items": [
            {
                "id": "msg_5d0c0e0f",
                "type": "message",
                "role": "user",
                "status": "completed",
                "content": [{"type": "input_text", "text": "Say hello."}],
            }
        ],
        "more": False,
    },
    "StopReply": {"stopping": True},
    "CatalogReport": {
        "router": "router-0-1",
        "source": "/etc/tokenbus/catalog.yaml",
        "since": 1795360000.25,
        "problems": [],
        "catalog": {
            "providers": {"ollama": {"base_url": "http://localhost:11434/v1"}},
            "models": {"ollama/*": {"targets": ["ollama"]}},
            "rules": [],
        },
    },
    "ModelList": {"models": [{"id": "openai/gpt-4.1-mini", "providers": ["openai"]}]},
}
