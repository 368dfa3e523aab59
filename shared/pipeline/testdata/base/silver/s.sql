SELECT _row, id, v, ts FROM {{ changes "bronze.raw" }}
