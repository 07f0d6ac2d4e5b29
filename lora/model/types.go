package model

// Config says how a model is opened for training.
type Config struct {
	// Rank of every adapter pair, at least 1.
	Rank int
	// Frozen opens the model without an adapter, as a teacher that never learns.
	// Rank, Alpha and Targets are ignored, and Backward is refused.
	Frozen bool
	// Alpha over Rank is the scale of B·A, as in llama.cpp and PEFT. 0 means Rank (scale 1).
	Alpha float32
	// Targets are the matrices that get an adapter in each layer, by GGUF name,
	// such as attn_q and ffn_down; see TargetsOf. Empty means all.
	Targets []string
	// Device that computes: "cpu", "cuda", "cuda:N" or "auto"; empty: the CPU. A
	// plan for a card needs none.
	Device string
	// Threads that compute on the CPU. 0 means one for each core.
	Threads int
	// Seed of the start values of A.
	Seed int64

	// Dropout is the share of the inputs of each A that Backward sets to zero at
	// random, the others growing by 1/(1-Dropout); below 1. See Model.Draw.
	Dropout float64
	// EmbeddingNoise is the alpha of NEFTune: Backward adds uniform noise of at
	// most EmbeddingNoise/√(T·width) to the embeddings of a segment of T tokens.
	EmbeddingNoise float64

	// MemoryLimit bounds the bytes of activations that are kept for the
	// backward pass; layers that do not fit are computed twice instead. 0 means
	// that everything is kept.
	MemoryLimit int64
	// Recompute keeps only the inputs of each layer, whatever MemoryLimit says.
	Recompute bool
	// SeparatePrefixes computes the tokens that all segments of a row begin with
	// anew for each segment, where otherwise they are computed once. Losses and
	// gradients are the same but for rounding; it is there for comparisons.
	SeparatePrefixes bool
	// HostEmbedding leaves the table of embeddings on the host, where a card would
	// have to hold it only to read some rows; ignored where it is the output matrix too.
	HostEmbedding bool
	// Offload lets the inputs of layers that are computed twice wait on the host, not on the card.
	Offload bool
	// Precision of products. Empty means the fastest that the device has.
	Precision Precision
	// Naive selects the plain C kernels, the oracle of the fast ones.
	Naive bool
	// Profile measures where the time goes; see Model.Profile.
	Profile bool
}

// Batch is one packed row of T tokens; every slice has length T.
type Batch struct {
	Tokens []int32
	// Pos is the position of each token in its segment, from 0.
	Pos []int32
	// Seq is the segment of each token. Attention never crosses segments; the
	// tokens of one segment stand side by side.
	Seq []int32
	// Targets[i] is the token to predict at i; -1 means no loss there.
	Targets []int32
}

// Loss of a batch.
type Loss struct {
	Sum     float64 // of -ln p over the targets
	Tokens  int     // number of targets
	Correct int     // targets that were the likeliest token
}

// Info describes a model.
type Info struct {
	Architecture string
	Layers       int
	Embedding    int // width of the residual stream
	Heads        int
	KVHeads      int
	HeadDim      int
	FeedForward  int
	Vocab        int
	Context      int   // tokens that the model was trained for
	Parameters   int64 // weights in the file
	WeightBytes  int64 // that they take in the file
	Trainable    int64 // parameters of the adapter
}
