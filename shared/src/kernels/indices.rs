//! Indices of rows, on the host and, once they have been asked for, on a device.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use candle_core::{Device, Tensor};

use crate::Result;

/// Indices of rows. They are uploaded at most once, so that a value serves one device.
#[derive(Debug, Clone)]
pub struct Indices(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    host: Arc<[u32]>,
    device: OnceLock<Tensor>,
    segments: OnceLock<Segments>,
}

/// The bounds of packed texts, `cu_seqlens` in other libraries: 0, then the sum of the lengths of all
/// texts so far. Text t has the rows `bounds[t]..bounds[t + 1]`.
#[derive(Debug, Clone)]
pub struct CumulativeSeqLengths {
    host: Arc<[usize]>,
    indices: Indices,
}

/// The places of each index: those in `sources[begins[s]..begins[s + 1]]`, in ascending order, all hold the
/// index `destinations[s]`. All tensors are u32.
#[derive(Debug, Clone)]
pub struct Segments {
    /// The distinct indices, ascending: `[destinations]`.
    pub destinations: Tensor,
    /// The begin of each destination's places in `sources`, and the end of the last: [destinations + 1].
    pub begins: Tensor,
    /// The places, destination after destination: `[indices]`.
    pub sources: Tensor,
}

impl Indices {
    /// Takes over indices.
    pub fn new(host: impl Into<Arc<[u32]>>) -> Self {
        let (host, device, segments) = (host.into(), OnceLock::new(), OnceLock::new());
        Self(Arc::new(Inner { host, device, segments }))
    }

    /// Returns the indices on the host.
    pub fn host(&self) -> &[u32] {
        &self.0.host
    }

    /// Returns the indices on `device`: u32 `[indices]`.
    pub fn on(&self, device: &Device) -> Result<&Tensor> {
        if let Some(tensor) = self.0.device.get() {
            return Ok(tensor);
        }
        let tensor = Tensor::from_slice(self.host(), self.host().len(), device)?;
        Ok(self.0.device.get_or_init(|| tensor))
    }

    /// Returns the places of each distinct index, on `device`.
    pub fn segments(&self, device: &Device) -> Result<&Segments> {
        if let Some(segments) = self.0.segments.get() {
            return Ok(segments);
        }
        let segments = Segments::new(self.host(), device)?;
        Ok(self.0.segments.get_or_init(|| segments))
    }
}

impl From<Vec<u32>> for Indices {
    fn from(indices: Vec<u32>) -> Self {
        Self::new(indices)
    }
}

impl Deref for Indices {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        self.host()
    }
}

impl CumulativeSeqLengths {
    /// Adds up the lengths of texts.
    pub fn new(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut host = vec![0];
        for length in lengths {
            host.push(host[host.len() - 1] + length);
        }
        let indices: Vec<u32> = host.iter().map(|&bound| bound as u32).collect();
        Self { host: host.into(), indices: indices.into() }
    }

    /// Returns the lengths of the texts, in order.
    pub fn lengths(&self) -> impl Iterator<Item = usize> + '_ {
        self.host.windows(2).map(|bounds| bounds[1] - bounds[0])
    }

    /// Returns the bounds on `device`: u32 [texts + 1].
    pub(super) fn on(&self, device: &Device) -> Result<&Tensor> {
        self.indices.on(device)
    }
}

impl Deref for CumulativeSeqLengths {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.host
    }
}

impl Segments {
    fn new(indices: &[u32], device: &Device) -> Result<Self> {
        let mut sources: Vec<u32> = (0..indices.len() as u32).collect();
        // Stable: equal indices stay in the order of their places.
        sources.sort_by_key(|&source| indices[source as usize]);
        let (mut destinations, mut begins) = (Vec::new(), Vec::new());
        for (place, &source) in sources.iter().enumerate() {
            let index = indices[source as usize];
            if destinations.last() != Some(&index) {
                destinations.push(index);
                begins.push(place as u32);
            }
        }
        begins.push(sources.len() as u32);
        // One upload for all three.
        let lengths = [destinations.len(), begins.len(), sources.len()];
        let all: Vec<u32> = [destinations, begins, sources].concat();
        let all = Tensor::from_vec(all, lengths.iter().sum::<usize>(), device)?;
        Ok(Self {
            destinations: all.narrow(0, 0, lengths[0])?,
            begins: all.narrow(0, lengths[0], lengths[1])?,
            sources: all.narrow(0, lengths[0] + lengths[1], lengths[2])?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_list_the_places_of_each_index_in_order() {
        let indices = Indices::new([7, 2, 7, 0, 2, 7]);
        let segments = indices.segments(&Device::Cpu).unwrap();
        let at = |tensor: &Tensor| tensor.to_vec1::<u32>().unwrap();
        assert_eq!(at(&segments.destinations), [0, 2, 7]);
        assert_eq!(at(&segments.begins), [0, 1, 3, 6]);
        assert_eq!(at(&segments.sources), [3, 1, 4, 0, 2, 5]);
    }
}
