"use strict";
// No validator badge: it would send this page's address to another site.
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null, docExpansion: "list" });
