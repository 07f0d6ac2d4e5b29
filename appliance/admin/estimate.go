package admin

// EstimateOn is the body of POST /admin/estimate: what would be trained on, and how.
type EstimateOn struct {
	TrainOn
	// Memory plans for a machine on which the job may take that many bytes; 0:
	// for this one.
	Memory int64 `json:"memory,omitempty"`
}
