"""Documents made from the catalog: JSON Schemas, an AsyncAPI document, pages for people."""
