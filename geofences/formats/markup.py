"""XML as a small tree whose elements know their lines. A document type, and so any entity of its own, is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from geofences.formats.common import FeatureError

MAX_DEPTH = 100
"""deeper no airspace file is, and the readers walk the tree by recursion"""


@dataclass(slots=True)
class Element:
    """An element: name and attributes without namespace, its own text, and the line it begins in."""

    tag: str
    attributes: dict[str, str]
    line: int
    parts: list[str] = field(default_factory=list)
    children: list[Element] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Without the blanks around it."""
        return "".join(self.parts).strip()

    def child(self, tag: str) -> Element | None:
        return next((c for c in self.children if c.tag == tag), None)

    def child_text(self, tag: str) -> str:
        """Empty where there is no such child."""
        found = self.child(tag)
        return "" if found is None else found.text

    def all(self, tag: str) -> Iterator[Element]:
        """Every element of that name below this one, at any depth."""
        for c in self.children:
            if c.tag == tag:
                yield c
            yield from c.all(tag)


def tree(text: str) -> Element:
    """The root of an XML document; a FeatureError with the line where it is none."""
    top = Element("", {}, 0)
    stack = [top]
    # The text is decoded already: what encoding the file claims no longer matters.
    parser = expat.ParserCreate("UTF-8")
    parser.buffer_text = True

    def begin(name: str, attributes: dict[str, str]) -> None:
        if len(stack) > MAX_DEPTH:
            text = f"elements are nested more than {MAX_DEPTH} deep"
            raise FeatureError(f"line {parser.CurrentLineNumber}", text, "flatten the file")
        local = {_local(k): v for k, v in attributes.items()}
        element = Element(_local(name), local, parser.CurrentLineNumber)
        stack[-1].children.append(element)
        stack.append(element)

    def end(name: str) -> None:
        stack.pop()

    def doctype(*_: object) -> None:
        text = "the file has a document type (DTD); those are not read, since entities can grow without end"
        raise FeatureError(f"line {parser.CurrentLineNumber}", text, "remove the <!DOCTYPE …>")

    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.CharacterDataHandler = lambda data: stack[-1].parts.append(data)
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(text.encode("utf-8", "surrogatepass"), True)
    except expat.ExpatError as error:
        what = expat.ErrorString(error.code)
        raise FeatureError(f"line {error.lineno}", f"this is not XML: {what}", "correct the file there") from None
    finally:  # the handlers know the parser, and it them: a circle that would hold the whole tree
        parser.StartElementHandler = parser.EndElementHandler = None
        parser.CharacterDataHandler = parser.StartDoctypeDeclHandler = None
    return top.children[0]


def _local(name: str) -> str:
    return name.rpartition(":")[2]
