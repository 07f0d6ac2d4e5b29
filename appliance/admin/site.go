package admin

import (
	"cloister/appliance/site"
	"cloister/store/signing"
)

type (
	// Site is who this site is to others: GET /admin/site/key.
	Site = site.Identity
	// TrustedSite is a site whose bundles are imported: GET /admin/site/trusted.
	TrustedSite = site.Trusted
)

// MakeKey names this site and makes its signing key, if there is none yet or
// Renew is set: POST /admin/site/key, which answers with a Site.
type MakeKey struct {
	Name  string `json:"name"`
	Renew bool   `json:"renew,omitempty"`
}

// Trust believes the bundles of another site: POST /admin/site/trusted, which
// answers with a TrustedSite.
type Trust struct {
	Name string            `json:"name"`
	Key  signing.PublicKey `json:"key"`
}

// Sign asks for a signature of this site: POST /admin/site/sign, on the control
// socket only. The purpose must begin with "cloister pack ": bundles are signed
// by the appliance itself.
type Sign struct {
	Purpose string `json:"purpose"`
	Message []byte `json:"message"`
}

// Signed is the answer to Sign.
type Signed struct {
	Signature []byte `json:"signature"`
	Site      Site   `json:"site"`
}
