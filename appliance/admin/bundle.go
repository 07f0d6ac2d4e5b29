package admin

import "cloister/appliance/bundle"

type (
	// ExportBundle is the body of POST /admin/bundles/export, which answers with
	// the bytes of a bundle.
	ExportBundle = bundle.ExportRequest
	// ImportBundle is the part "options" of POST /admin/bundles/import; the part
	// "file" follows with the bytes of a bundle.
	ImportBundle = bundle.ImportRequest
	// ImportedBundle is the answer to ImportBundle.
	ImportedBundle = bundle.Imported
	// Bundle is the answer to POST /admin/bundles/verify, a form like that of
	// ImportBundle with empty options.
	Bundle = bundle.Contents
)
