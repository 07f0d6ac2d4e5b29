package admin

import (
	"cloister/appliance/models"
	"cloister/store"
)

// Model is what a name leads to: GET /admin/models/{name}. The empty name
// means the default model.
type Model struct {
	models.Entry
	BaseModel store.BaseModel `json:"base_model"`
	Adapter   *store.Adapter  `json:"adapter,omitempty"` // nil: the base itself
	// System is the system prompt that the model was tuned with. It answers
	// best when it gets the same one again.
	System string `json:"system,omitempty"`
}
