package admin

import (
	"cloister/appliance/models"
	"cloister/store"
)

// ImportAdapter asks for an adapter on the appliance's machine to be added as a
// tuned model: POST /admin/adapters.
type ImportAdapter struct {
	Path   string `json:"path"`             // absolute: a folder that PEFT saved, or a GGUF adapter
	Base   string `json:"base"`             // the model that it was trained on
	Suffix string `json:"suffix,omitempty"` // the part of its name before the last
}

// Model is what a name leads to: GET /admin/models/{name}. The empty name
// means the default model.
type Model struct {
	models.Entry
	BaseModel store.BaseModel `json:"base_model"`
	Adapter   *store.Adapter  `json:"adapter,omitempty"` // nil: the base itself
	// System is the system prompt that the model was tuned with. It answers
	// best when it gets the same one again.
	System string `json:"system,omitempty"`
	// Origin says where an adapter came from that another site made; nil: here.
	Origin *store.Origin `json:"origin,omitempty"`
}
