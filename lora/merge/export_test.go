package merge

// ChunkValues sets the size of chunks and returns the one before.
func ChunkValues(n int) int {
	old := chunkValues
	chunkValues = n
	return old
}
