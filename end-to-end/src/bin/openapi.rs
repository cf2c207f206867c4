//! Writes the OpenAPI documents: of each service beside its code, and of the whole shop in `docs/`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for (path, document) in end_to_end::openapi_documents()? {
        std::fs::write(path, document)?;
    }
    Ok(())
}
