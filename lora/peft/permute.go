package peft

import (
	"fmt"
	"strings"
)

// headsOf is the number of heads by which the rows of a tensor are permuted, 0
// for one that is not.
func (b *base) headsOf(tensor string) int {
	switch {
	case !b.permuted:
		return 0
	case strings.HasSuffix(tensor, ".attn_q.weight"):
		return b.heads
	case strings.HasSuffix(tensor, ".attn_k.weight"):
		return b.kvHeads
	}
	return 0
}

// permute moves rows of a matrix [heads·d × cols] as llama.cpp's converter does
// (LlamaModel.permute): row h·d + 2i + j of GGUF is row h·d + j·d/2 + i of
// Hugging Face, i < d/2, j < 2. back is the other direction. 0 heads mean a copy.
func permute(data []float32, rows, cols, heads int, back bool) ([]float32, error) {
	out := make([]float32, len(data))
	if heads == 0 {
		copy(out, data)
		return out, nil
	}
	d := rows / heads
	if rows%heads != 0 || d%2 != 0 {
		return nil, fmt.Errorf("%d rows are not %d heads of an even size", rows, heads)
	}
	for h := range heads {
		for i := range d / 2 {
			for j := range 2 {
				ours, theirs := h*d+2*i+j, h*d+j*d/2+i
				to, from := ours, theirs
				if back {
					to, from = theirs, ours
				}
				copy(out[to*cols:(to+1)*cols], data[from*cols:(from+1)*cols])
			}
		}
	}
	return out, nil
}
