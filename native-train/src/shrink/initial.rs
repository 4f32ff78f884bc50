//! The weights that a student begins with, taken from its teacher.
//!
//! A narrower student keeps whole columns of the hidden states: those that the teacher's layers read with the largest
//! weights. In each layer it keeps the heads and the neurons whose outputs are weighted most.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use shared::model::{DebertaConfig, WORD_EMBEDDINGS};

use super::low_rank::Basis;
use super::shape::Shape;
use crate::run::tensors::Tensors;

const EMBEDDINGS: &str = "deberta.embeddings";

/// The layer that a narrower student's hidden states go through to be compared with the teacher's: its weight
/// [teacher's hidden size, student's] is trained and then dropped. It begins by putting the kept columns in
/// their places.
pub const PROJECTION: &str = "projection";

/// Takes the student's tensors from those of its teacher. Row i of its word embeddings is row `kept[i]` of the
/// teacher's, which the texts have as often as `occurrences[kept[i]]` says.
///
/// # Errors
/// If a tensor of the teacher is missing.
pub fn initial_weights(
    teacher_config: &DebertaConfig,
    teacher: &Tensors,
    shape: &Shape,
    kept: &[u32],
    occurrences: &[u64],
) -> Result<Tensors> {
    let teacher = Teacher { config: teacher_config, tensors: teacher };
    let mut config = shape.config.clone();
    config.vocab_size = kept.len();
    let columns = teacher.columns(shape)?;
    let mut student = teacher.embeddings(&config, &columns, kept, occurrences)?;
    let layers: Vec<Parts> =
        shape.layers.iter().map(|&layer| teacher.parts(layer, &config)).collect::<Result<_>>()?;
    for name in config.backbone_shapes().into_keys() {
        if student.contains_key(&name) {
            continue;
        }
        let (source, axes) = match layer_of(&name) {
            Some((layer, rest)) => {
                let source = format!("deberta.encoder.layer.{}.{rest}", shape.layers[layer]);
                (source, axes(rest, &columns, &layers[layer]))
            }
            None if name == "deberta.encoder.rel_embeddings.weight" => {
                (name.clone(), [None, Some(&columns[..])])
            }
            None => (name.clone(), [Some(&columns[..]), None]),
        };
        let matrix = teacher.matrix(&source)?;
        student.insert(name, matrix.select(axes).into_tensor()?);
    }
    if columns.len() < teacher_config.hidden_size {
        let back = Matrix::places(&columns, teacher_config.hidden_size);
        student.insert(format!("{PROJECTION}.weight"), back.into_tensor()?);
    }
    Ok(student)
}

/// The columns of a narrower model, ascending.
type Columns = Vec<usize>;

/// The parts of a layer that a narrower one keeps.
struct Parts {
    /// Columns of queries, keys and values: those of whole heads.
    of_heads: Columns,
    neurons: Columns,
}

/// The number of the layer in a tensor's name, and what follows it.
fn layer_of(name: &str) -> Option<(usize, &str)> {
    let (number, rest) = name.strip_prefix("deberta.encoder.layer.")?.split_once('.')?;
    Some((number.parse().ok()?, rest))
}

/// The rows and columns to keep of a layer's tensor; `None` for all.
fn axes<'a>(rest: &str, columns: &'a Columns, parts: &'a Parts) -> [Option<&'a [usize]>; 2] {
    let (outputs, inputs) = if rest.starts_with("attention.self") {
        (&parts.of_heads, columns)
    } else if rest.starts_with("attention.output.dense") {
        (columns, &parts.of_heads)
    } else if rest.starts_with("intermediate.dense") {
        (&parts.neurons, columns)
    } else if rest.starts_with("output.dense") {
        (columns, &parts.neurons)
    } else {
        (columns, columns)
    };
    let is_matrix = rest.ends_with("weight") && !rest.contains("LayerNorm");
    [Some(outputs), is_matrix.then_some(inputs)]
}

struct Teacher<'a> {
    config: &'a DebertaConfig,
    tensors: &'a Tensors,
}

impl Teacher<'_> {
    /// The columns of the hidden states that are kept.
    fn columns(&self, shape: &Shape) -> Result<Columns> {
        let mut importance = vec![0.0; self.config.hidden_size];
        for layer in &shape.layers {
            for reader in
                ["attention.self.query_proj", "attention.self.value_proj", "intermediate.dense"]
            {
                let matrix =
                    self.matrix(&format!("deberta.encoder.layer.{layer}.{reader}.weight"))?;
                for row in matrix.values.chunks_exact(matrix.columns) {
                    importance.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(x * x));
                }
            }
        }
        Ok(largest(&importance, shape.config.hidden_size))
    }

    /// The heads and neurons of a layer that are kept.
    fn parts(&self, layer: usize, student: &DebertaConfig) -> Result<Parts> {
        let head = self.config.head_dim();
        let read = self.column_weights(layer, "attention.output.dense")?;
        let of_heads: Vec<f64> = read.chunks_exact(head).map(|head| head.iter().sum()).collect();
        let heads = largest(&of_heads, student.num_attention_heads);
        let read = self.column_weights(layer, "output.dense")?;
        Ok(Parts {
            of_heads: heads.into_iter().flat_map(|h| h * head..(h + 1) * head).collect(),
            neurons: largest(&read, student.intermediate_size),
        })
    }

    /// The squared length of each column of a layer's matrix.
    fn column_weights(&self, layer: usize, name: &str) -> Result<Vec<f64>> {
        let matrix = self.matrix(&format!("deberta.encoder.layer.{layer}.{name}.weight"))?;
        let mut sums = vec![0.0; matrix.columns];
        for row in matrix.values.chunks_exact(matrix.columns) {
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(x * x));
        }
        Ok(sums)
    }

    /// The embedding tables, and the projection that follows them if they are narrower than the hidden states.
    fn embeddings(
        &self,
        student: &DebertaConfig,
        columns: &Columns,
        kept: &[u32],
        occurrences: &[u64],
    ) -> Result<Tensors> {
        let mut tables = BTreeMap::new();
        for name in ["word_embeddings", "position_embeddings", "token_type_embeddings"] {
            let name = format!("{EMBEDDINGS}.{name}.weight");
            if self.tensors.contains_key(&name) {
                tables
                    .insert(name.clone(), self.hidden_table(&name)?.select([None, Some(columns)]));
            }
        }
        let words = tables.get_mut(WORD_EMBEDDINGS).context("every model embeds words")?;
        let ids: Vec<usize> = kept.iter().map(|&id| id as usize).collect();
        *words = words.select([Some(&ids), None]);
        let width = student.hidden_size;
        if student.embedding_size == width {
            return tables
                .into_iter()
                .map(|(name, table)| Ok((name, table.into_tensor()?)))
                .collect();
        }
        let occurs: Vec<f64> = ids.iter().map(|&id| 1.0 + occurrences[id] as f64).collect();
        let basis = Basis::of(&words.values, &occurs, width, student.embedding_size);
        let mut tensors = Tensors::new();
        for (name, table) in tables {
            let (rows, columns) = (table.values.len() / width, student.embedding_size);
            let shares =
                Matrix { rows, columns, values: basis.shares(&table.values), vector: false };
            tensors.insert(name, shares.into_tensor()?);
        }
        let projection = Matrix {
            rows: width,
            columns: student.embedding_size,
            values: basis.projection(),
            vector: false,
        };
        tensors.insert(format!("{EMBEDDINGS}.embed_proj.weight"), projection.into_tensor()?);
        Ok(tensors)
    }

    /// An embedding table as the hidden states have it: [rows, hidden_size].
    fn hidden_table(&self, name: &str) -> Result<Matrix> {
        let table = self.matrix(name)?;
        if self.config.embedding_size == self.config.hidden_size {
            return Ok(table);
        }
        let projection = &self.tensors[&format!("{EMBEDDINGS}.embed_proj.weight")];
        let product = self.tensors[name].matmul(&projection.t()?)?;
        Matrix::of(&product)
    }

    fn matrix(&self, name: &str) -> Result<Matrix> {
        Matrix::of(self.tensors.get(name).with_context(|| format!("the teacher has no `{name}`"))?)
    }
}

/// A matrix, or a vector as a matrix of one column.
struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
    vector: bool,
}

impl Matrix {
    fn of(tensor: &Tensor) -> Result<Self> {
        let vector = tensor.rank() == 1;
        let (rows, columns) = if vector { (tensor.dim(0)?, 1) } else { tensor.dims2()? };
        Ok(Self { rows, columns, values: tensor.flatten_all()?.to_vec1()?, vector })
    }

    /// The matrix [rows, columns] that puts each column in its row.
    fn places(columns: &[usize], rows: usize) -> Self {
        let mut values = vec![0.0; rows * columns.len()];
        for (column, row) in columns.iter().enumerate() {
            values[row * columns.len() + column] = 1.0;
        }
        Self { rows, columns: columns.len(), values, vector: false }
    }

    /// Some rows and columns; `None` for all.
    fn select(&self, [rows, columns]: [Option<&[usize]>; 2]) -> Self {
        let all = |count: usize| -> Range<usize> { 0..count };
        let or_all = |picked: Option<&[usize]>, count| {
            picked.map_or_else(|| all(count).collect(), <[usize]>::to_vec)
        };
        let (rows, columns) = (or_all(rows, self.rows), or_all(columns, self.columns));
        let at = |row: usize, column: usize| self.values[row * self.columns + column];
        let values =
            rows.iter().flat_map(|&row| columns.iter().map(move |&column| at(row, column)));
        Self {
            values: values.collect(),
            rows: rows.len(),
            columns: columns.len(),
            vector: self.vector,
        }
    }

    fn into_tensor(self) -> Result<Tensor> {
        let Self { rows, columns, values, vector } = self;
        Ok(match vector {
            true => Tensor::from_vec(values, rows, &Device::Cpu)?,
            false => Tensor::from_vec(values, (rows, columns), &Device::Cpu)?,
        })
    }
}

/// The indices of the `count` largest numbers, ascending; of equal ones the first.
fn largest(numbers: &[f64], count: usize) -> Columns {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|&a, &b| numbers[b].total_cmp(&numbers[a]));
    order.truncate(count);
    order.sort_unstable();
    order
}
