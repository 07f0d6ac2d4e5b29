//go:build cuda || cudaemu

package native

// Limit makes the card work in small pieces, so that small operands have several: bytes of left operands, slabs and heads.
func (c *CUDA) Limit(bytes int64) {
	c.layout.leftMost, c.layout.slabMost, c.layout.headsMost = bytes, bytes, bytes
}
