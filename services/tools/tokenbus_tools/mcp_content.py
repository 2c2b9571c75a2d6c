"""What an MCP server answers as what the model reads. Pure."""

import base64
from typing import Final

import mcp_types
from pydantic_core import to_json

from tokenbus_toolkit import File, Image, ToolError

Part = str | Image | File
_UNNAMED: Final = "resource"


def mcp_output(result: mcp_types.CallToolResult) -> str | list[Part]:
    """One text where everything is text, else parts. Raises `ToolError` with the text of an error result."""
    parts: list[Part] = [_part(block) for block in result.content]
    if not parts and result.structured_content is not None:
        parts.append(to_json(result.structured_content).decode())
    texts = [part for part in parts if isinstance(part, str)]
    if result.is_error:
        raise ToolError("\n".join(texts) or "The tool failed and did not say why.")
    return "\n".join(texts) if len(texts) == len(parts) else parts


def _part(block: mcp_types.ContentBlock) -> Part:
    match block:
        case mcp_types.TextContent():
            return block.text
        case mcp_types.ImageContent():
            return Image(f"data:{block.mime_type};base64,{block.data}")
        case mcp_types.ResourceLink():
            return f"{block.title or block.name}: {block.uri}"
        case mcp_types.EmbeddedResource():
            return _resource(block.resource)
        case mcp_types.AudioContent():
            return f"[audio of type {block.mime_type}, which can not be passed on]"


def _resource(resource: mcp_types.TextResourceContents | mcp_types.BlobResourceContents) -> Part:
    if isinstance(resource, mcp_types.TextResourceContents):
        return resource.text
    media_type = resource.mime_type or "application/octet-stream"
    if media_type.startswith("image/"):
        return Image(f"data:{media_type};base64,{resource.blob}")
    name = str(resource.uri).rpartition("/")[2] or _UNNAMED
    return File.of(base64.b64decode(resource.blob), name=name, media_type=media_type)
