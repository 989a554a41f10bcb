"""The pure parser, from a signed body to items; `connectors.whatsapp_cloud.parse` is its door.

`slices` cuts the body, `values` reads what was cut, `scene` holds what surrounds an item. A builder for each sort of
element makes drafts; `finish` turns those into items and adds the identities they show; `envelope` drives it all.
"""
