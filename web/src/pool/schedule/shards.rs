//! The part of each shard that is here, as the workers report it.

use crate::pool::event::PoolEvent;

/// The progress of all shards of the bundle, in its order. Those that are not wanted yet do not count.
pub struct Shards(Vec<ShardProgress>);

struct ShardProgress {
    bytes: u64,
    received: u64,
    is_cached: bool,
    is_wanted: bool,
}

impl Shards {
    pub fn new(bytes: &[u64]) -> Self {
        let shard =
            |&bytes| ShardProgress { bytes, received: 0, is_cached: false, is_wanted: true };
        Self(bytes.iter().map(shard).collect())
    }

    /// Wants these shards and no others.
    pub fn want_only(&mut self, wanted: &[usize]) {
        for (index, shard) in self.0.iter_mut().enumerate() {
            shard.is_wanted = wanted.contains(&index);
        }
    }

    /// Wants every shard.
    pub fn want_all(&mut self) {
        self.0.iter_mut().for_each(|shard| shard.is_wanted = true);
    }

    /// Notes the bytes received of a shard. Returns whether they are more than before: a download that starts
    /// again does not turn the progress back.
    pub fn receive(&mut self, shard: usize, received: u64) -> bool {
        let Some(shard) = self.0.get_mut(shard) else { return false };
        let before = shard.received;
        shard.received = before.max(received.min(shard.bytes));
        shard.received > before
    }

    /// Notes that a shard is complete. Returns whether the progress has grown.
    pub fn take(&mut self, shard: usize, is_cached: bool) -> bool {
        if let Some(shard) = self.0.get_mut(shard) {
            shard.is_cached |= is_cached;
        }
        self.receive(shard, u64::MAX)
    }

    /// Notes that the cache was emptied. What is in memory is still here.
    pub fn forget_cached(&mut self) {
        self.0.iter_mut().for_each(|shard| shard.is_cached = false);
    }

    pub fn progress(&self) -> PoolEvent {
        let wanted = || self.0.iter().filter(|shard| shard.is_wanted);
        let received = wanted().map(|shard| shard.received).sum();
        let total = wanted().map(|shard| shard.bytes).sum();
        PoolEvent::Progress { received, total }
    }

    pub fn are_cached(&self, shards: &[usize]) -> bool {
        shards.iter().all(|&shard| self.0[shard].is_cached)
    }

    /// Whether none of the shards has to be downloaded any more.
    pub fn are_here(&self, shards: &[usize]) -> bool {
        shards.iter().all(|&shard| self.0[shard].received == self.0[shard].bytes)
    }
}
