package train

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
)

// safetensor is a tensor of a safetensors file: F32 or I32.
type safetensor struct {
	name   string
	shape  []int
	floats []float32
	ints   []int32
}

func (t *safetensor) dtype() string {
	if t.ints != nil {
		return "I32"
	}
	return "F32"
}

// writeSafetensors writes the format of Hugging Face: the length of the header,
// the header in JSON, the data (github.com/huggingface/safetensors).
func writeSafetensors(w io.Writer, metadata map[string]string, tensors []safetensor) error {
	header := map[string]any{"__metadata__": metadata}
	at := 0
	for i := range tensors {
		t := &tensors[i]
		bytes := 4 * (len(t.floats) + len(t.ints))
		header[t.name] = map[string]any{"dtype": t.dtype(), "shape": t.shape, "data_offsets": [2]int{at, at + bytes}}
		at += bytes
	}
	text, err := json.Marshal(header)
	if err != nil {
		return err
	}
	for len(text)%8 != 0 { // the data begin at a multiple of 8
		text = append(text, ' ')
	}
	if _, err := w.Write(append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)); err != nil {
		return err
	}
	var buf []byte
	for i := range tensors {
		buf = buf[:0]
		for _, v := range tensors[i].floats {
			buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
		}
		for _, v := range tensors[i].ints {
			buf = binary.LittleEndian.AppendUint32(buf, uint32(v))
		}
		if _, err := w.Write(buf); err != nil {
			return fmt.Errorf("%s: %w", tensors[i].name, err)
		}
	}
	return nil
}
