"""XML documents with text from rules, files and names."""

from __future__ import annotations

from xml.etree import ElementTree

from testbed.visible import visible


def document(root: ElementTree.Element, xml_declaration: bool = False) -> str:
    """Return a document as text; characters that XML 1.0 does not allow are escaped."""
    for element in root.iter():
        element.attrib.update({name: visible(value) for name, value in element.attrib.items()})
        element.text = visible(element.text) if element.text is not None else None
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=xml_declaration) + "\n"
