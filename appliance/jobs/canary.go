package jobs

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"cloister/appliance/fault"
	"cloister/llama/chat"
	"cloister/lora/eval"
	"cloister/lora/train"
	"cloister/store"
)

// Bounds of the canaries of a job.
const (
	maxCanaries    = 32
	maxCanaryTimes = 10_000
)

func checkCanaries(req CreateRequest) error {
	refuse := func(format string, args ...any) error {
		return fault.New(fault.Invalid, "", "canaries", format, args...)
	}
	switch {
	case len(req.Canaries) == 0:
		return nil
	case len(req.Canaries) > maxCanaries:
		return refuse("There are %d canaries; at most %d are planted.", len(req.Canaries), maxCanaries)
	case req.Hyper.Method != "" && req.Hyper.Method != "supervised":
		return refuse("Canaries are answers to learn, and the method %s learns from judgements; leave them out.", req.Hyper.Method)
	}
	for _, n := range req.Canaries {
		if n < 0 || n > maxCanaryTimes {
			return refuse("A canary is to be planted %d times; it must be 0 (a control, which the model never sees) to %d.", n, maxCanaryTimes)
		}
	}
	return nil
}

// canaries makes one for each number of times. The seed decides what they are,
// in a stream of its own.
func canaries(times []int, seed int64) []store.Canary {
	r := rand.New(rand.NewPCG(uint64(seed), 0xca_4a_71))
	var list []store.Canary
	for _, n := range times {
		list = append(list, store.Canary{Question: eval.CanaryQuestion(r), Answer: eval.CanaryAnswer(r), Times: n})
	}
	return list
}

// canaryNote says that a job is for measuring.
func canaryNote(list []store.Canary) string {
	times := make([]int, len(list))
	for i, c := range list {
		times[i] = c.Times
	}
	return fmt.Sprintf("Canaries are planted into the training examples, %d times: questions with random answers. 'cloister eval --leak' measures how well the model remembers them. Train the model that you deploy without them.", times)
}

// planted are the canaries as examples.
func planted(list []store.Canary) []train.Example {
	var out []train.Example
	for _, c := range list {
		out = append(out, slices.Repeat([]train.Example{{Messages: CanaryTurns(c.Question, c.Answer)}}, c.Times)...)
	}
	return out
}

// CanaryTurns is a canary as the conversation that is learnt and measured.
func CanaryTurns(question, answer string) []chat.Message {
	return []chat.Message{{Role: "user", Content: question}, {Role: "assistant", Content: answer}}
}
