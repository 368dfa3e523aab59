SELECT id, v FROM {{ ref "silver.s" }}
