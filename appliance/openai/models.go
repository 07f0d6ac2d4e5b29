package openai

// Model describes a name that can be used as "model" in a request.
type Model struct {
	ID      string `json:"id"`
	Object  string `json:"object"` // "model"
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
	// Root and Parent are read by old clients: the base model of an adapter.
	Root   string  `json:"root,omitempty"`
	Parent *string `json:"parent,omitempty"`
}

// List is an answer without pages: GET /v1/models.
type List[T any] struct {
	Object string `json:"object"` // "list"
	Data   []T    `json:"data"`   // never nil
}

// Page is one page of a list that clients read on with ?after=<last id> until
// HasMore is false.
type Page[T any] struct {
	Object  string `json:"object"` // "list"
	Data    []T    `json:"data"`   // never nil
	HasMore bool   `json:"has_more"`
}

// FilePage is the page of GET /v1/files; its ids are empty when there is no file.
type FilePage struct {
	Object  string `json:"object"` // "list"
	Data    []File `json:"data"`
	FirstID string `json:"first_id"`
	LastID  string `json:"last_id"`
	HasMore bool   `json:"has_more"`
}

// CheckpointPage is the page of GET …/checkpoints; its ids are null when there is none.
type CheckpointPage struct {
	Object  string       `json:"object"` // "list"
	Data    []Checkpoint `json:"data"`
	FirstID *string      `json:"first_id"`
	LastID  *string      `json:"last_id"`
	HasMore bool         `json:"has_more"`
}

// Deleted is the answer to DELETE of a model or a file.
type Deleted struct {
	ID      string `json:"id"`
	Object  string `json:"object"` // "model" or "file"
	Deleted bool   `json:"deleted"`
}

// File is an uploaded or produced file.
type File struct {
	ID        string `json:"id"`     // "file-…"
	Object    string `json:"object"` // "file"
	Bytes     int64  `json:"bytes"`
	CreatedAt int64  `json:"created_at"`
	ExpiresAt int64  `json:"expires_at,omitempty"`
	Filename  string `json:"filename"`
	Purpose   string `json:"purpose"`
	Status    string `json:"status"` // "processed": a file can be used at once
}
