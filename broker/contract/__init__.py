"""The contract for subscribers: what each stream carries, for readers in any language.

`asyncapi.yaml` and `schemas/` are generated from the dataclasses of `broker.core.model` and from the words of this
package, and committed: see docs/adr/0009-contract.md. `python -m broker.contract` writes and checks them.
"""
