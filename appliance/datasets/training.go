package datasets

import (
	"cloister/llama/chat"
	"cloister/lora/train"
	"cloister/store"
)

// TrainingExamples reads one split of a dataset version as the trainer takes
// it, in row order.
func TrainingExamples(st *store.Store, dataset string, version int, split store.Split) ([]train.Example, error) {
	var out []train.Example
	for ex, err := range st.Examples(dataset, version, split) {
		if err != nil {
			return nil, err
		}
		e := train.Example{Row: ex.Row, Rejected: ex.Rejected, Desirable: ex.Desirable}
		for _, m := range ex.Messages {
			e.Messages = append(e.Messages, chat.Message{Role: m.Role, Content: m.Content, Weight: m.Weight})
		}
		out = append(out, e)
	}
	return out, nil
}
