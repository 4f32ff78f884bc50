//! What is at hand of the shards, by the workers' reports.

use crate::pool::PoolEvent;

/// All shards of the bundle, by their place in it.
pub struct Shards(Vec<Shard>);

struct Shard {
    bytes: u64,
    received: u64,
    is_cached: bool,
}

impl Shards {
    pub fn new(bytes: &[u64]) -> Self {
        let shard = |&bytes| Shard { bytes, received: 0, is_cached: false };
        Self(bytes.iter().map(shard).collect())
    }

    /// So many bytes of a shard have come. Whether that is news: a download that starts again from
    /// nothing does not take back what was shown.
    pub fn receive(&mut self, shard: usize, received: u64) -> bool {
        let Some(shard) = self.0.get_mut(shard) else { return false };
        let before = shard.received;
        shard.received = before.max(received.min(shard.bytes));
        shard.received > before
    }

    /// A shard is whole. Whether that is news.
    pub fn take(&mut self, shard: usize, is_cached: bool) -> bool {
        if let Some(shard) = self.0.get_mut(shard) {
            shard.is_cached |= is_cached;
        }
        self.receive(shard, u64::MAX)
    }

    pub fn progress(&self) -> PoolEvent {
        let received = self.0.iter().map(|shard| shard.received).sum();
        let total = self.0.iter().map(|shard| shard.bytes).sum();
        PoolEvent::Progress { received, total }
    }

    pub fn are_cached(&self, shards: &[usize]) -> bool {
        shards.iter().all(|&shard| self.0[shard].is_cached)
    }

    /// Whether none of them is still on its way.
    pub fn are_here(&self, shards: &[usize]) -> bool {
        shards.iter().all(|&shard| self.0[shard].received == self.0[shard].bytes)
    }
}
