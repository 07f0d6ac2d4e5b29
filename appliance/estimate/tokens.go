package estimate

import (
	"fmt"
	"sync"

	"github.com/pkoukk/tiktoken-go"

	"cloister/appliance/estimate/encodings"
	"cloister/lora/train"
)

// Encodings are the encodings of OpenAI's that are counted: that of gpt-4o and
// later, and that of gpt-4 and gpt-3.5-turbo.
var Encodings = []string{"o200k_base", "cl100k_base"}

// offline makes tiktoken read its vocabularies out of this program. Its own
// loader would download them.
var offline = sync.OnceFunc(func() { tiktoken.SetBpeLoader(encodings.Loader{}) })

// CountOpenAI counts the tokens of chat examples by one of OpenAI's encodings,
// as its cookbook does for fine-tuning: those of role and content and 3 for
// each message, and 3 for each example.
func CountOpenAI(encoding string, examples []train.Example) (int64, error) {
	offline()
	enc, err := tiktoken.GetEncoding(encoding)
	if err != nil {
		return 0, fmt.Errorf("the encoding %q: %w", encoding, err)
	}
	var n int64
	for _, ex := range examples {
		n += 3
		for _, m := range ex.Messages {
			n += int64(3 + len(enc.EncodeOrdinary(m.Role)) + len(enc.EncodeOrdinary(m.Content)))
		}
	}
	return n, nil
}
