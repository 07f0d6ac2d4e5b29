package admin

import (
	"cloister/appliance/masking"
	"cloister/store/pii"
)

// Used is what a dataset version was masked with, names and numbers in the
// clear: GET /admin/datasets/{name}/versions/{n}/policy.
type Used = masking.Used

// Texts are texts to be masked or unmasked, each a record of its own: the body
// of POST /admin/mask and POST /admin/unmask.
type Texts struct {
	Texts []string `json:"texts"`
}

// MaskedTexts is the answer to POST /admin/mask: the texts, masked with the
// policy and the vault of the project, and what was found in each.
type MaskedTexts struct {
	Texts    []string        `json:"texts"`
	Findings [][]pii.Finding `json:"findings"`
}

// UnmaskedTexts is the answer to POST /admin/unmask.
type UnmaskedTexts struct {
	Texts    []string `json:"texts"`
	Restored int      `json:"restored"` // tokens and surrogates that became values
}
