//! Numbers that say which rows an operation takes, on the host and, once they have been asked for,
//! on a device.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use candle_core::{Device, Tensor};

use crate::Result;

/// Indices of rows. They are uploaded at most once: a value serves one
/// device.
#[derive(Debug, Clone)]
pub struct Indices(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    host: Arc<[u32]>,
    device: OnceLock<Tensor>,
    segments: OnceLock<Segments>,
}

/// Where packed texts begin and end: text t has the rows `offsets[t]..offsets[t + 1]`.
#[derive(Debug, Clone)]
pub struct Offsets {
    host: Arc<[usize]>,
    indices: Indices,
}

/// Indices sorted by where they point: the places `sources[begins[s]..begins[s + 1]]`, in ascending
/// order, all hold the index `destinations[s]`. All tensors are u32.
#[derive(Debug, Clone)]
pub struct Segments {
    pub destinations: Tensor,
    /// One more than there are destinations.
    pub begins: Tensor,
    pub sources: Tensor,
}

impl Indices {
    pub fn new(host: impl Into<Arc<[u32]>>) -> Self {
        let (host, device, segments) = (host.into(), OnceLock::new(), OnceLock::new());
        Self(Arc::new(Inner { host, device, segments }))
    }

    pub fn host(&self) -> &[u32] {
        &self.0.host
    }

    /// The same on `device`: u32 [indices].
    pub fn on(&self, device: &Device) -> Result<&Tensor> {
        if let Some(tensor) = self.0.device.get() {
            return Ok(tensor);
        }
        let tensor = Tensor::from_slice(self.host(), self.host().len(), device)?;
        Ok(self.0.device.get_or_init(|| tensor))
    }

    /// For each row that is pointed to, from where.
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

impl Offsets {
    /// The same, to be put on a device.
    pub(super) fn indices(&self) -> &Indices {
        &self.indices
    }
}

impl From<Vec<usize>> for Offsets {
    fn from(offsets: Vec<usize>) -> Self {
        let indices: Vec<u32> = offsets.iter().map(|&offset| offset as u32).collect();
        Self { host: offsets.into(), indices: indices.into() }
    }
}

impl Deref for Offsets {
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
