//! What operators ask for by invoking the function: the schema, rebuilds, and what the tables hold. The tables of other
//! services are theirs: an operator's tool reads those and hands over what it found.

use std::collections::BTreeMap;

use domain_events::{Money, Timestamp, payload};
use lambda_dispatch::{HandlerError, Service, Task};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    ReportService,
    app::Projection,
    domain::{self, Lines, Order, Product, Status, Step, Uncountable},
    repository::Selection,
};

/// Rows that one task takes; more would be a payload that Lambda does not pass.
const ROWS_IN: usize = 500;

/// Rows that one task answers.
const ROWS_OUT: i64 = 2000;

/// Does a task, and says what came of it.
pub(crate) async fn handle(projection: &Projection, task: Task) -> Result<Value, HandlerError> {
    let input = task.input;
    match task.name.as_str() {
        "migrate" => Ok(serde_json::to_value(projection.migrate().await?)?),
        "status" => Ok(serde_json::to_value(projection.status().await?)?),
        "rebuild/start" => {
            let Start { by, restart } = read(input)?;
            Ok(json!({ "rebuild_id": projection.start_rebuild(&by, restart).await? }))
        }
        "rebuild/orders" => {
            let Orders { rebuild_id, orders } = read(input)?;
            bounded(orders.len())?;
            // The highest version of each: a statement takes every id once.
            let mut newest = BTreeMap::<Uuid, Order>::new();
            for row in orders {
                let order = order_of(row)?;
                match newest.get(&order.order_id) {
                    Some(known) if known.version >= order.version => {}
                    _ => drop(newest.insert(order.order_id, order)),
                }
            }
            let orders: Vec<Order> = newest.into_values().collect();
            projection.rebuild_orders(rebuild_id, &orders).await?;
            Ok(json!({ "written": orders.len() }))
        }
        "rebuild/products" => {
            let Products { rebuild_id, products } = read(input)?;
            bounded(products.len())?;
            let mut newest = BTreeMap::<Uuid, Product>::new();
            for row in products {
                let product = product_of(row)?;
                match newest.get(&product.product_id) {
                    Some(known) if known.version >= product.version => {}
                    _ => drop(newest.insert(product.product_id, product)),
                }
            }
            let products: Vec<Product> = newest.into_values().collect();
            projection.rebuild_products(rebuild_id, &products).await?;
            Ok(json!({ "written": products.len() }))
        }
        "rebuild/erased" => {
            let Erased { rebuild_id, user_ids } = read(input)?;
            bounded(user_ids.len())?;
            projection.rebuild_erased(rebuild_id, &user_ids).await?;
            Ok(json!({}))
        }
        "rebuild/swap" => {
            let Swap { rebuild_id } = read(input)?;
            Ok(serde_json::to_value(projection.swap(rebuild_id).await?)?)
        }
        "rebuild/abandon" => {
            let Abandon { rebuild_id } = read(input)?;
            projection.abandon_rebuild(rebuild_id).await?;
            Ok(json!({}))
        }
        "read-orders" => {
            let page = projection.read_orders(selection(input, "order_ids")?).await?;
            Ok(json!({ "orders": page.rows, "next": page.next }))
        }
        "read-products" => {
            let page = projection.read_products(selection(input, "product_ids")?).await?;
            Ok(json!({ "products": page.rows, "next": page.next }))
        }
        name => Err(format!("{} has no task {name:?}", ReportService::NAME).into()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    #[serde(default = "somebody")]
    by: String,
    #[serde(default)]
    restart: bool,
}

fn somebody() -> String {
    "an operator".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Orders {
    rebuild_id: Uuid,
    orders: Vec<OrderRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Products {
    rebuild_id: Uuid,
    products: Vec<ProductRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Erased {
    rebuild_id: Uuid,
    user_ids: Vec<Uuid>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Swap {
    rebuild_id: Uuid,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Abandon {
    #[serde(default)]
    rebuild_id: Option<Uuid>,
}

/// An order as its table has it, as far as it matters here.
#[derive(Deserialize)]
struct OrderRow {
    order_id: Uuid,
    #[serde(default)]
    user_id: Option<Uuid>,
    status: Status,
    items: Vec<payload::Line>,
    #[serde(default)]
    total: Option<Money>,
    #[serde(default)]
    reason: Option<String>,
    history: Vec<Step>,
    version: u64,
    created_at: Timestamp,
}

/// A product as its table has it, as far as it matters here.
#[derive(Deserialize)]
struct ProductRow {
    product_id: Uuid,
    version: u64,
    name: String,
    category: String,
}

fn order_of(row: OrderRow) -> Result<Order, HandlerError> {
    let wrong = |error: Uncountable| format!("order {}: {error}", row.order_id);
    let lines = row.items.into_iter().map(|line| (line.product_id, line.quantity, line.unit_price));
    Ok(Order {
        order_id: row.order_id,
        version: domain::version(row.version).map_err(wrong)?,
        user_id: row.user_id,
        status: row.status,
        reason: row.reason.map(domain::reason),
        total: row.total,
        placed_at: row.created_at,
        steps: row.history,
        lines: Lines::sum(lines).map_err(wrong)?,
    })
}

fn product_of(row: ProductRow) -> Result<Product, HandlerError> {
    let wrong = |error: Uncountable| format!("product {}: {error}", row.product_id);
    Ok(Product {
        product_id: row.product_id,
        version: domain::version(row.version).map_err(wrong)?,
        name: domain::text(row.name),
        category: domain::text(row.category),
        deleted: false,
    })
}

/// Either some ids, or what follows one.
fn selection(mut input: Value, ids: &str) -> Result<Selection, HandlerError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Following {
        #[serde(default)]
        after: Option<Uuid>,
        #[serde(default = "most")]
        limit: i64,
    }
    fn most() -> i64 {
        ROWS_OUT
    }
    if let Some(ids) = input.get_mut(ids) {
        let ids: Vec<Uuid> = read(ids.take())?;
        bounded(ids.len())?;
        return Ok(Selection::Ids(ids));
    }
    let Following { after, limit } = read(input)?;
    if !(1..=ROWS_OUT).contains(&limit) {
        return Err(format!("limit must be 1 to {ROWS_OUT}").into());
    }
    Ok(Selection::After(after, limit))
}

/// Nothing said means that nothing is asked for in particular.
fn read<T: DeserializeOwned>(input: Value) -> Result<T, HandlerError> {
    let input = if input.is_null() { json!({}) } else { input };
    Ok(serde_json::from_value(input)?)
}

fn bounded(rows: usize) -> Result<(), HandlerError> {
    if rows > ROWS_IN { Err(format!("{rows} rows are too many: {ROWS_IN} at most").into()) } else { Ok(()) }
}
