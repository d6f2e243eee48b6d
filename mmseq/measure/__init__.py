"""Operations, throughput and memory, receptive fields."""
